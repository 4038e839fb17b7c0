"""The database: tables, migrations, transactions, and the two databases behind one interface."""
