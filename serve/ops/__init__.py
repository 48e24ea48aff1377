"""Starting, proxying, metering and configuring the service."""
