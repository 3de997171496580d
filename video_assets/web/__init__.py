"""HTTP doors. Thin: they translate, call one function of the domain, and report."""
