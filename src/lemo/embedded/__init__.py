"""The engines of one machine (Valkey, ClickHouse by chDB, Milvus Lite) and the supervisor that keeps all processes."""
