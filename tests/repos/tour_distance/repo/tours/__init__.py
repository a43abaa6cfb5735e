"""Tours of delivery vans."""
