"""PostgreSQL: a pool of connections over asyncpg."""
