"""Commands about generations: submit, list, show, watch, retry, cancel, verify."""
