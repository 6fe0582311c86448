"""The backends that come with multirec: one sub-package each, none importing another."""
