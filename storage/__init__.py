"""What is remembered: tables, migrations, one repository for each aggregate, the unit of work, the outbox."""
