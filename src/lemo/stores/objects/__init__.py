"""What the object store keeps: model snapshots."""
