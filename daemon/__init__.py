"""The process: settings, composition root, lifecycle, background loops, HTTP endpoints, command line."""
