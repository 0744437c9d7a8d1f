"""What stands behind `samovar up`: one process that starts, watches and ends all others of one box.

    store     valkey-server, unless `redis_url` names an external one
    invoker   python -m invoker
    gateway   python -m gateway, N of them on one listening socket that the supervisor owns
    worker    python -m gateway.worker, Celery with its beat in it

`table.py` says what is started, `child.py` keeps one child alive, `supervisor.py` reads start → run →
drain → force. The supervisor imports neither gateway nor invoker: it knows them as commands.
"""
