"""The operator: what is applied becomes the configuration that gateways serve, and says so."""
