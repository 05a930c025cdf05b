"""What EspoCRM shows and hides: items, rights, shared address rows, its error texts."""
