"""Instructions, anchors, annotations and exports."""
