"""A page in the browser where a person asks a model about a picture and a text: the extra `page`.

Gradio brings the server, the queue and the stream of its Server mode, but no markup, font or script: the page is the
report's own drawing, under its policy. Left out on purpose: sharing, accounts, any address but 127.0.0.1.
"""

import os

# gradio tells its makers that it was started unless this is set; a proxy of the environment cannot reach this machine
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
for _name in ("no_proxy", "NO_PROXY"):
    os.environ[_name] = ",".join(filter(None, (os.environ.get(_name), "127.0.0.1")))
