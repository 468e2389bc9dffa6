"""Which images a source lists, and what it says of those that it leaves out."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hpo import UsageError
from models.mammography.listing import listing

NOBODY = 65534
"""The number of the user that owns nothing."""

HEADER = "AccessionNumber,Classification,ClassificationDate\n"


@pytest.fixture
def archive(tmp_path):
    """Writes a CSV file and an archive with one file for each accession; nothing is decoded here."""

    def made(text, accessions=("000001", "000022", "3"), encoding="utf-8"):
        (tmp_path / "classificacao.csv").write_bytes(text.encode(encoding))
        for accession in accessions:
            (tmp_path / "archive" / accession / "series").mkdir(parents=True, exist_ok=True)
            (tmp_path / "archive" / accession / "series" / "b.dcm").write_bytes(b"second")
            (tmp_path / "archive" / accession / "series" / "a.dcm").write_bytes(b"first")
        return tmp_path / "classificacao.csv"

    return made


def said(found):
    return {(one.what, one.reason) for one in found.dropped}


def test_leading_zeros_are_kept(archive):
    found = listing(archive(HEADER + "000001,1,2020-01-01\n000022,4,2020-01-02\n3,2,\n"))
    assert [(one.accession, one.label, one.name) for one in found.cases] == [
        ("000001", 0, "000001/series/a.dcm"),
        ("000022", 3, "000022/series/a.dcm"),
        ("3", 1, "3/series/a.dcm"),
    ]
    assert (found.kind, found.rows, found.dropped, found.unlisted) == ("archive", 3, (), ())


def test_all_views_can_be_used(archive):
    found = listing(archive(HEADER + "000001,1,\n"), views="all")
    assert [one.name for one in found.cases] == ["000001/series/a.dcm", "000001/series/b.dcm"]
    assert found.unlisted == ("000022", "3")


def test_class_5_is_optional(archive):
    file = archive(HEADER + "000001,1,\n000022,5,\n")
    assert said(listing(file)) == {("row 3", "class 5 is left out")}
    assert [one.label for one in listing(file, include_class_5=True).cases] == [0, 4]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "latin-1", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_spreadsheet_encodings_are_read(archive, encoding, separator):
    text = "AccessionNumber,Classification,Médico\n000001,A,José\n000022,d,Ângela\n".replace(",", separator)
    assert [(one.accession, one.label) for one in listing(archive(text, encoding=encoding)).cases] == [
        ("000001", 0),
        ("000022", 3),
    ]


ROWS = "AccessionNumber,Classification,Note\n000001,1,one\n000022,4,two\n3,2,\n"


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_all_line_ends_are_read(archive, ends, encoding):
    found = listing(archive(ROWS.replace("\n", ends), encoding=encoding))
    assert [(one.accession, one.label) for one in found.cases] == [("000001", 0), ("000022", 3), ("3", 1)]


@pytest.mark.parametrize(
    "text",
    [
        "\n\nAccessionNumber,Classification\n000001,1\n",
        "sep=;\nAccessionNumber;Classification\n000001;1\n",
        "AccessionNumber|Classification\n000001|1\n",
        'AccessionNumber;Classification;"a, b, c, d"\n000001;1;x\n',
        "AccessionNumber;Classification;;\n000001;1;;;;\n",
        'AccessionNumber,Classification,Note\n000001,1,"two\nlines, and a ""quote"""\n',
        "AccessionNumber,Classification,Note\n000001,1,nul \0 inside\n",
        "AccessionNumber,Classification\n000001,1\n,\n\n",
        "AccessionNumber,Note,Classification\n000001," + "x" * 200_000 + ",1\n",
    ],
)
def test_spreadsheet_tables_are_read(archive, text):
    found = listing(archive(text))
    assert [(one.accession, one.label) for one in found.cases] == [("000001", 0)]
    assert found.dropped == ()


def test_rows_are_numbered_like_spreadsheets(archive):
    text = HEADER + '000001,1,"two\nlines"\n\n000022,x,\n3,2,,more\n'
    assert {what for what, _ in said(listing(archive(text)))} == {"row 4", "row 5"}
    text = "\n" + HEADER + "000001,1,\n000022,x,\n"
    assert {what for what, _ in said(listing(archive(text)))} == {"row 4"}


def test_long_headers_are_shortened(archive):
    with pytest.raises(UsageError, match=r"AccessionNumber is missing, found: A{40}") as found:
        listing(archive("A" * 200_000 + ",Classification\n1,2\n"))
    assert len(str(found.value)) < 500


@pytest.mark.parametrize("name", ["x" * 300 + ".png", "y/" * 3000 + "x.png"])
def test_impossible_paths_are_left_out(tmp_path, name):
    Image.new("L", (4, 4), 9).save(tmp_path / "a.png")
    (tmp_path / "list.csv").write_text(f"image_path,label\na.png,1\n{name},2\n")
    found = listing(tmp_path / "list.csv")
    assert [one.name for one in found.cases] == ["a.png"]
    [(row, reason)] = said(found)
    assert row == "row 3"
    assert reason.startswith("image_path ")
    assert len(reason) < 200


def test_too_long_source_names_are_refused(tmp_path):
    with pytest.raises(UsageError, match="there is no such folder or CSV file"):
        listing(tmp_path / ("x" * 300))


def test_dropped_rows_have_reasons(archive):
    rows = [
        "000001,1,",
        "000009,2,",  # no folder
        "000022,7,",
        ",1,",
        "=cmd|' /c calc'!A0,1,",
        "../../etc,1,",
        "000001,1,",
        "3,2,date,and more",
        "000022,,",
    ]
    found = listing(archive(HEADER + "\n".join(rows) + "\n"))
    assert [one.accession for one in found.cases] == ["000001"]
    reasons = dict(said(found))
    assert reasons["row 3"] == "examination 000009 has no folder in archive"
    assert reasons["row 4"].startswith("class '7' is not one of A, B, C, D, 1, 2, 3, 4")
    assert reasons["row 5"] == "has no AccessionNumber"
    assert "starts like a formula" in reasons["row 6"]
    assert "is not a plain name" in reasons["row 7"]
    assert reasons["row 8"] == "repeats row 2"
    assert reasons["row 9"] == "has more fields than the header"
    assert reasons["row 10"].startswith("class '' is not one of")


def test_contradictory_rows_are_left_out(archive):
    found = listing(archive(HEADER + "000001,1,\n000022,2,\n000001,3,\n"))
    assert [one.accession for one in found.cases] == ["000022"]
    reason = "AccessionNumber 000001 has several classes: 1 in row 2, 3 in row 4"
    assert said(found) == {("row 2", reason), ("row 4", reason)}


def test_outside_links_are_dropped(archive, tmp_path):
    file = archive(HEADER + "000001,1,\n000022,2,\n3,3,\n")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "a.dcm").write_bytes(b"secret")
    (tmp_path / "archive" / "000022" / "series" / "0.dcm").symlink_to(tmp_path / "outside" / "a.dcm")
    os.rename(tmp_path / "archive" / "3", tmp_path / "elsewhere")
    (tmp_path / "archive" / "3").symlink_to(tmp_path / "elsewhere")
    found = listing(file)
    assert [one.name for one in found.cases] == ["000001/series/a.dcm", "000022/series/a.dcm"]
    assert said(found) == {
        ("000022/series/0.dcm", "is a link that leaves the archive"),
        ("row 4", "examination 3 is a link that leaves the archive"),
    }


def test_circular_links_end(archive, tmp_path):
    file = archive(HEADER + "000001,1,\n")
    (tmp_path / "archive" / "000001" / "series" / "loop.dcm").symlink_to("loop.dcm")
    (tmp_path / "archive" / "000001" / "again").symlink_to(tmp_path / "archive" / "000001")
    assert [one.name for one in listing(file).cases] == ["000001/series/a.dcm"]


def test_empty_examinations_are_left_out(archive, tmp_path):
    file = archive(HEADER + "000001,1,\n000022,2,\n")
    for name in "ab":
        (tmp_path / "archive" / "000022" / "series" / f"{name}.dcm").rename(tmp_path / name)
    assert said(listing(file)) == {("row 3", "examination 000022 has no .dcm file")}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a CSV table"),
        ("\n\n", "is not a CSV table"),
        (HEADER, "has no rows"),
        ("Accession,Class\n1,2\n", "AccessionNumber, Classification is missing, found: Accession, Class"),
        ("AccessionNumber,Classification,AccessionNumber\n1,2,3\n", "duplicate column names: AccessionNumber"),
        ("image_path,class\na.png,1\n", "expected one of the columns density_label, label"),
        (HEADER + "000001,0,\n000022,3,\n", "the classes contain a 0"),
        (HEADER + "000001,0,\n000022,3,\n3,5,\n", "the classes contain a 0"),
        (HEADER + "000001,0,\n000022,3,\n3,x,\n", "the classes contain a 0"),
        (HEADER + "000009,1,\n", "no image can be used"),
        (HEADER + '000001,"1,\n000022,3,\n', "a quotation mark is never closed"),
    ],
)
def test_unusable_files_are_refused(archive, text, message):
    with pytest.raises(UsageError, match=message):
        listing(archive(text))


def test_damaged_utf_16_is_refused(tmp_path):
    (tmp_path / "x.csv").write_bytes(b"\xff\xfex")
    with pytest.raises(UsageError, match="starts like UTF-16, but is not valid"):
        listing(tmp_path / "x.csv")
    (tmp_path / "x.csv").write_bytes("AccessionNumber".encode("utf-16-le") + b"\0\xd8")
    with pytest.raises(UsageError, match="looks like UTF-16-LE, but is not valid"):
        listing(tmp_path / "x.csv")


@given(st.binary(max_size=300))
def test_random_bytes_never_crash(tmp_path_factory, content):
    file = tmp_path_factory.mktemp("bytes") / "list.csv"
    file.write_bytes(content)
    with pytest.raises(UsageError):
        listing(file)


@given(
    st.text(max_size=60),
    st.sampled_from(["utf-8", "utf-16", "latin-1"]),
    st.sampled_from(["image_path,label\n", HEADER]),
)
def test_random_rows_never_crash(tmp_path_factory, text, encoding, header):
    folder = tmp_path_factory.mktemp("rows")
    (folder / "archive").mkdir()
    (folder / "list.csv").write_bytes((header + text).encode(encoding, errors="replace"))
    with pytest.raises(UsageError):
        listing(folder / "list.csv")


def test_lost_zeros_are_suggested(archive):
    [found] = said(listing(archive(HEADER + "000001,1,\n22,3,\n")))
    expected = "examination 22 has no folder in archive, but there is 000022: did a spreadsheet drop leading zeros?"
    assert found[1] == expected


def test_missing_archives_are_refused(tmp_path):
    (tmp_path / "list.csv").write_text(HEADER + "1,1,\n")
    with pytest.raises(UsageError, match="cannot be read: No such file or directory"):
        listing(tmp_path / "list.csv")
    with pytest.raises(UsageError, match="there is no such folder or CSV file"):
        listing(tmp_path / "none.csv")


@contextmanager
def as_nobody():
    """Asks as a process without rights: root itself reads everything."""
    own = os.geteuid()
    if own == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(own)


def test_permission_errors_are_handled(archive, request):
    folder = Path(tempfile.mkdtemp())  # pytest's own may be entered by its user alone
    request.addfinalizer(lambda: shutil.rmtree(folder))
    shutil.copytree(archive(HEADER + "000001,1,\n000022,2,\n").parent, folder, dirs_exist_ok=True)
    folder.chmod(0o755)
    file, examination = folder / "classificacao.csv", folder / "archive" / "000001"
    examination.chmod(0)
    with as_nobody():
        found = listing(file)
    examination.chmod(0o755)
    assert [one.accession for one in found.cases] == ["000022"]
    assert said(found) == {("row 2", "examination 000001 cannot be read: Permission denied")}
    (folder / "archive").chmod(0)
    with as_nobody(), pytest.raises(UsageError, match="Permission denied"):
        listing(file)
    (folder / "archive").chmod(0o755)


def test_csv_paths_stay_in_their_folder(tmp_path):
    (tmp_path / "in" / "images").mkdir(parents=True)
    for name in ("in/images/a.png", "in/images/b.jpg", "out.png"):
        Image.new("L", (4, 4), 9).save(tmp_path / name)
    rows = "images/a.png,1,7,CC,P1\nimages/b.jpg,D,8,,P1\n../out.png,2,9,,\nimages/none.png,3,9,,\nimages/x.txt,3,9,,\n"
    (tmp_path / "in" / "list.csv").write_text("image_path,density_label,accession,view,patient_id\n" + rows)
    found = listing(tmp_path / "in" / "list.csv")
    assert [(one.name, one.label, one.accession, one.view, one.patient) for one in found.cases] == [
        ("images/a.png", 0, "7", "CC", "P1"),
        ("images/b.jpg", 3, "8", "", "P1"),
    ]
    assert said(found) == {
        ("row 4", "image_path ../out.png leaves the folder of the CSV file"),
        ("row 5", "image_path images/none.png does not exist"),
        ("row 6", "image_path images/x.txt is not one of .jpg, .jpeg, .png, .dcm"),
    }


@pytest.fixture
def folder(tmp_path):
    for name in "ABCD":
        (tmp_path / name).mkdir()
        Image.new("L", (8, 4), 51).save(tmp_path / name / "one.png")
    return tmp_path


def test_folders_are_sorted(folder):
    Image.new("L", (8, 4), 255).save(folder / "B" / "a.JPG")
    (folder / "A" / ".hidden.png").write_bytes(b"")
    (folder / "A" / "notes.txt").write_text("not an image")
    (folder / "LICENSE").write_text("not an image")
    found = listing(folder)
    assert [one.name for one in found.cases] == ["A/one.png", "B/a.JPG", "B/one.png", "C/one.png", "D/one.png"]
    assert [one.label for one in found.cases] == [0, 1, 1, 2, 3]
    assert said(found) == {("A/notes.txt", "is not one of .jpg, .jpeg, .png, .dcm")}


def test_non_text_names_are_escaped(folder):
    for number, name in enumerate((b"scan-\xff.png", b"two\nlines.png", b"red\x1b[31m.png")):
        Image.new("L", (8, 4), number).save(folder / "A" / "spare.png")
        os.rename(folder / "A" / "spare.png", os.fsencode(folder / "A") + b"/" + name)
    found = listing(folder)
    assert [one.name for one in found.cases[:4]] == [
        "A/one.png",
        r"A/red\x1b[31m.png",
        r"A/scan-\udcff.png",
        r"A/two\x0alines.png",
    ]
    assert found.cases[2].accession == r"scan-\udcff"
    assert all(one.path.is_file() for one in found.cases)


def test_formula_names_are_left_out(folder):
    Image.new("L", (8, 4), 9).save(folder / "A" / "=1+1.png")
    assert said(listing(folder)) == {("A/=1+1.png", "has a name that starts like a formula")}


def test_missing_class_folders_are_named(folder):
    (folder / "D" / "one.png").rename(folder / "D" / "one.txt")
    with pytest.raises(UsageError, match="D has none"):
        listing(folder)
    (folder / "C").rename(folder / "c-old")
    with pytest.raises(UsageError, match=r"C is missing \(subfolders found: A, B, D, c-old\)"):
        listing(folder)


@given(
    accessions=st.lists(
        st.text("0123456789", min_size=1, max_size=8), min_size=1, max_size=6, unique_by=lambda text: text
    ),
    labels=st.lists(st.sampled_from("1234"), min_size=6, max_size=6),
)
def test_written_images_are_listed(tmp_path_factory, accessions, labels):
    folder = tmp_path_factory.mktemp("archive")
    for accession in accessions:
        (folder / "archive" / accession).mkdir(parents=True)
        (folder / "archive" / accession / "x.dcm").write_bytes(b"")
    rows = [f"{accession},{label}," for accession, label in zip(accessions, labels, strict=False)]
    (folder / "list.csv").write_text(HEADER + "\n".join(rows) + "\n")
    found = listing(folder / "list.csv")
    assert [(one.accession, str(one.label + 1)) for one in found.cases] == list(zip(accessions, labels, strict=False))
