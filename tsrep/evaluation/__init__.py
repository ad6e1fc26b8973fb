"""Arrays in, numbers out: probes, baselines, clustering, retrieval, collapse, comparison. Nothing here knows a model.

Two laws keep the numbers honest. A probe is given the labels of the training part and never sees those of the test
part, so that nothing can be tuned on them. And beside every learned number stand the baselines of the same split
(`baselines.py`) and a random untrained encoder, which the caller embeds and passes as one more named feature set.
"""
