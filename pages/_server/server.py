"""What Streamlit serves: app.py, behind the headers by which a browser keeps other pages away from it."""

from __future__ import annotations

from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware

from core.logs import configure_logs
from pages._server.headers import Headers
from pages._server.streamlit_logs import route_streamlit_logs

configure_logs(default_level="info")
route_streamlit_logs()

app = st.App(Path(__file__).parents[2] / "app.py", middleware=[Middleware(Headers)])
