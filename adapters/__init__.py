"""The outside world behind small interfaces: the NATS server and its streams, price lists, object store, providers."""
