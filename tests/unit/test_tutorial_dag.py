"""The pictures show the DAG of the tutorial as it stands in the document, and each has its dark twin."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from camera import LARGEST
from tutorial_dag import TUTORIAL, TutorialDag

IMAGES = Path(__file__).parents[2] / "docs" / "images"
PAGE = """
<!-- file: my_airflow/dags/first.py -->
```python
DAG("first", pipeline_name="good")
```

```diff
-DAG("first", pipeline_name="good")
+DAG("first", pipeline_name="bad")
```
"""


def test_the_dag_and_its_change_are_read_from_the_tutorial():
    dag = TutorialDag.read()
    assert dag.file_name == "score_new_files.py"
    changed = [
        (old.strip(), new.strip())
        for old, new in zip(dag.code.splitlines(), dag.failing.splitlines(), strict=True)
        if old != new
    ]
    assert changed == [('pipeline_name="score-files",', 'pipeline_name="fails-at-score",')]
    ast.parse(dag.failing)


def test_the_change_is_applied(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    dag = TutorialDag.read(page)
    assert (dag.dag_id, dag.code) == ("first", 'DAG("first", pipeline_name="good")\n')
    assert dag.failing == 'DAG("first", pipeline_name="bad")\n'


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("my_airflow/dags/first.py", "elsewhere/first.py"),
        ("```diff", "```text"),
        ('-DAG("first", pipeline_name="good")', '-DAG("first", pipeline_name="other")'),
        ('\nDAG("first"', '\nDAG("second"'),
    ],
    ids=["no file", "no change", "a change of another line", "another DAG"],
)
def test_a_tutorial_that_does_not_fit_is_an_error(tmp_path, old, new):
    page = tmp_path / "page.md"
    page.write_text(PAGE.replace(old, new))
    with pytest.raises(ValueError, match=r"page\.md"):
        TutorialDag.read(page)


def test_every_picture_is_small_and_exists_in_light_and_in_dark():
    pictures = {file.name: file.stat().st_size for file in IMAGES.glob("*.png")}
    assert len(pictures) >= 10
    assert {name: size for name, size in pictures.items() if size > LARGEST} == {}
    assert {name.replace("-light.", "-dark.") for name in pictures if "-light." in name} == {
        name for name in pictures if "-dark." in name
    }


def test_the_tutorial_shows_a_picture_of_each_step():
    text = TUTORIAL.read_text()
    for name in ("tutorial-graph", "tutorial-log", "failed-run", "connection-form"):
        assert f"../images/{name}-light.png" in text
