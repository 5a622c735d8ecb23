"""What Streamlit serves: app.py, behind the headers by which a browser keeps other pages away from it."""

from __future__ import annotations

from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware

from pages._server.headers import Headers

app = st.App(Path(__file__).parents[2] / "app.py", middleware=[Middleware(Headers)])
