"""Reports: notebooks from the list, run with checked parameters, exported as one offline page with provenance."""
