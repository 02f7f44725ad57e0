"""The networks, and how trained arrays get into them."""
