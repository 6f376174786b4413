"""Where the configuration comes from: a folder of manifests, followed as it changes."""
