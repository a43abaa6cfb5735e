"""What people attach to issues: how it is found in their texts, fetched, and made safe to keep."""
