"""What is kept of a run: its cells, what samples say, the document, and two documents compared.

`format` declares the document; writer, reader and JSON schema follow from it. Imports `host`, `cases`, `contestants`.
"""
