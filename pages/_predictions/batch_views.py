"""Prediction batches on a page: the list, links to model and data, and the rows page by page."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from core.entities import Actor, PredictionBatch
from core.features.data.export_rows import batch_csv
from core.features.lineage.origin import check_batch
from core.features.scoring.batch_rows import batch_page
from core.features.stores import Stores
from core.texts import joined
from pages._predictions import batch_charts
from pages._ui import escaping, export_button, links, messages, paging
from pages._ui.texts import t, tn, translated

_PAGE_ROWS = 100


def label(batch: PredictionBatch) -> str:
    """Return one line for a list of batches."""
    rows = tn("{n} row", "{n:,} rows", batch.rows)
    name = t("{model} on {data}", model=batch.key, data=batch.source)
    return f"{name} · {rows} · {messages.local_time(batch.time)}"


def batches_table(batches: Sequence[PredictionBatch]) -> None:
    """Show one line per batch, in the order given."""
    rows = [
        {
            t("Batch"): batch.batch_id,
            t("Time"): batch.time,
            t("Model version"): str(batch.key),
            t("Data version"): str(batch.source),
            t("Rows"): batch.rows,
            t("Written to"): str(batch.into),
            t("By"): batch.actor,
        }
        for batch in batches
    ]
    escaping.table(
        pd.DataFrame(rows),
        column_config={t("Time"): messages.time_column(t("Time"))},
        key="predictions_list",
    )


def back_links(batch: PredictionBatch) -> None:
    """Draw links to the lineage, model version and data of the batch, and to its rows by SQL."""
    query = f"SELECT * FROM {batch.into.table} WHERE batch_id = '{batch.batch_id}' LIMIT 100"  # noqa: S608 -- shown
    data = {"tables_table": batch.source.table, "tables_version": str(batch.source.version)}
    with st.container(horizontal=True):
        links.link("lineage", t("Lineage"), lineage_from=t("Prediction batch"), lineage_batch=batch.batch_id)
        links.link(
            "models", messages.plain(batch.key), models_model=batch.model, models_version=str(batch.model_version)
        )
        links.link("tables", messages.plain(batch.source), **data)
        links.link("sql", t("Query with SQL"), sql_query=query)


def source_warning(stores: Stores, actor: Actor, batch: PredictionBatch) -> None:
    """Warn if another table has the name of the scored data now."""
    identity = check_batch(stores, actor, batch)
    if identity is not None and identity.is_contradicted:
        st.error(messages.plain(translated(joined(identity.contradictions))), icon=":material/swap_horiz:")


def rows(stores: Stores, actor: Actor, batch: PredictionBatch) -> None:
    """Show the rows of a batch page by page, with a button that exports all of them."""
    st.subheader(t("Rows"))
    last = paging.last_page(batch.rows, _PAGE_ROWS)
    number = min(paging.requested_page("predictions_page", of=batch.batch_id), last or 1)
    shown = batch_page(stores, actor, batch, offset=(number - 1) * _PAGE_ROWS, limit=_PAGE_ROWS).to_pandas()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        paging.page_box("predictions_page", number, last=last, of=batch.batch_id)
        export_button.csv_button(
            lambda: batch_csv(stores, actor, batch), f"batch-{batch.batch_id}", batch.rows, key="predictions_csv"
        )
        st.caption(
            t(
                "{shown:,} of {total:,} rows of {table} are shown.",
                shown=len(shown),
                total=batch.rows,
                table=messages.plain(batch.into),
            ),
            width="content",
        )
    escaping.table(shown, key="predictions_rows", column_order=batch_charts.ordered(shown))
