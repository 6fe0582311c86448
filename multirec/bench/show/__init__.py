"""What is shown of documents: tables as text, Markdown, CSV and HTML, and figures. Imports `cases` and `results`."""
