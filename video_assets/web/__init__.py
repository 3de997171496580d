"""HTTP routes. Thin: they translate, call one function of the domain, and report."""
