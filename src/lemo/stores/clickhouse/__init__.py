"""What ClickHouse keeps: events and their aggregates."""
