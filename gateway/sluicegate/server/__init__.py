"""The servers: the public port, the admin port, TLS, and the life of the process."""
