"""What is shown of prediction batches: the list, the way back from one, its rows page by page."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from core.entities import Actor, PredictionBatch
from core.features.data.export_rows import batch_csv
from core.features.scoring.batch_rows import batch_page
from core.features.stores import Stores
from pages._predictions import batch_charts
from pages._ui import escaping, export_button, links, messages, paging

_PAGE_ROWS = 100


def batches_table(batches: Sequence[PredictionBatch]) -> None:
    """One line per batch, newest first."""
    rows = [
        {
            "Batch": batch.batch_id,
            "Time": batch.time,
            "Model": str(batch.key),
            "Data": str(batch.source),
            "Rows": batch.rows,
            "Into": str(batch.into),
            "By": batch.actor,
        }
        for batch in batches
    ]
    escaping.table(
        pd.DataFrame(rows),
        column_config={"Time": messages.time_column("Time")},
        key="predictions_list",
    )


def back_links(batch: PredictionBatch) -> None:
    """To its lineage, model version, data and rows by SQL."""
    query = f"SELECT * FROM {batch.into.table} WHERE batch_id = '{batch.batch_id}' LIMIT 100"  # noqa: S608 -- shown
    data = {"tables_table": batch.source.table, "tables_version": str(batch.source.version)}
    with st.container(horizontal=True):
        links.link("lineage", "Lineage", lineage_from="a prediction batch", lineage_batch=batch.batch_id)
        links.link(
            "models", messages.plain(batch.key), models_model=batch.model, models_version=str(batch.model_version)
        )
        links.link("tables", messages.plain(batch.source), **data)
        links.link("sql", "Look at it by SQL", sql_query=query)


def rows(stores: Stores, actor: Actor, batch: PredictionBatch) -> None:
    """The rows of a batch, page by page, and all of them to take away."""
    st.subheader("Rows")
    last = paging.last_page(batch.rows, _PAGE_ROWS)
    number = min(paging.asked("predictions_page", of=batch.batch_id), last or 1)
    shown = batch_page(stores, actor, batch, offset=(number - 1) * _PAGE_ROWS, limit=_PAGE_ROWS).to_pandas()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        paging.turn("predictions_page", number, last=last, of=batch.batch_id)
        export_button.csv_button(
            lambda: batch_csv(stores, actor, batch), f"batch-{batch.batch_id}", batch.rows, key="predictions_csv"
        )
        st.caption(f"{len(shown)} of {batch.rows:,} rows of {messages.plain(batch.into)} are shown.", width="content")
    escaping.table(shown, key="predictions_rows", column_order=batch_charts.ordered(shown))
