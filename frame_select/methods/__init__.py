"""Ways to choose rows, one file each; frame_select/registry.py knows them by name."""
