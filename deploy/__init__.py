"""The embedding service of tsrep. Installed as `tsrep_deploy`; `python -m tsrep_deploy --model runs/first` starts it.

service.py   what BentoML loads: one model, one worker, health and metrics
app.py       the routes: POST /embed, GET /info
wire.py      which form a body has, JSON and npy; arrow.py, npy.py: the binary forms
windows.py   windows of a request, grouped by shape, and their checks
engine.py    the model behind the routes; batcher.py: one thread, batches by shape
settings.py  every limit, its flag and its environment twin; refusal.py: every way to say no
launch.py    starts the server in this process; running.py: runs one beside this process
"""
