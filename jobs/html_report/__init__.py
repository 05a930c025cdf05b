"""The page of the command `report`."""
