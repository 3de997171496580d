"""A local server that speaks each provider's wire format and serves real videos whose links really die."""
