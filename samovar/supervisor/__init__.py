"""What stands behind `samovar up`: one process that starts, watches and ends all others of one box.

    store     valkey-server, unless `redis_url` names an external one
    invoker   the module `invoker`
    gateway   the module `gateway`, N of them on one listening socket that the supervisor owns
    worker    the module `gateway.tasks.worker`, Celery with its beat in it

`table.py` says what is started, `child.py` keeps one child alive, `supervisor.py` reads start → run →
drain → force. The supervisor imports neither gateway nor invoker: a fork of it
runs one of them by its name, as `python -m` would (`fork.py`).
"""
