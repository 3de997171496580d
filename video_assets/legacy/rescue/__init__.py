"""Fetching the file of a finding, or refreshing its link."""
