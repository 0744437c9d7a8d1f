"""Does nothing, which is an answer, too."""


def handler(event, context):
    return None
