"""`evolab dashboard`: a page on this machine that shows all runs and studies as they go.

It reads files and nothing else. What there is (`places`, `topics`), what can be seen of it now (`island_looks`,
`run_looks`, `study_looks`, `overview`, `trends`), when to look again (`follower`), its charts (`charting`), its
champion (`replaying`), and how a browser asks for all that (`server`, `pages`, `templates/`, `assets/`).
"""
