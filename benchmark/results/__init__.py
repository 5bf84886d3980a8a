"""What is made of records: cells and their status, statistics, comparisons, tables, charts, pages."""
