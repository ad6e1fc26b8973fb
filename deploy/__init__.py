"""The embedding service of tsrep. Installed as `tsrep_deploy`; `python -m tsrep_deploy --model runs/first` starts it.

service.py   what BentoML loads: one worker, health and metrics
app.py       the routes; answers.py: what each makes of a request; openapi.py, openapi_search.py, schemas.py: how they are told
door.py      what every request passes: keys.py, bucket.py (rates), places, time, visit.py and tell.py (headers, log)
shelf.py     the models by name, and how they are exchanged
engine.py    a model behind the routes; batcher.py: one thread, batches by shape
wire.py      which form a body has, JSON and npy; arrow.py, npy.py: the binary forms; numbers.py: float16, int8, dimensions
windows.py   windows of a request, grouped by shape, and their checks
drift.py     the recent embeddings (recent.py) against those of the training
search.py    collections of windows to search: entries.py reads what comes, facts.py metadata and filters, vectors.py keeps them
settings.py  every limit, its flag and its environment twin; refusal.py: every way to say no
meters.py    what is counted, for Prometheus
load.py      measures a running service: pressing.py (the client), fuzz.py and damage.py (bad input), plain.py (the reference)
launch.py    starts the server in this process; running.py: runs one beside this process; signals.py: SIGHUP
bento.py     a bento of code and models; Containerfile, compose.yaml, kubernetes/, monitoring/: where else it may run
"""
