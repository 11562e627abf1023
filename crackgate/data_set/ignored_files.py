"""Files beside the photographs that nobody means as photographs, by their names alone."""

import re

# Systems, synchronisation and editors leave these in folders; everything below such a folder is of its kind.
_SYSTEM_FOLDER = re.compile(
    r"\..+|__MACOSX|__pycache__|@(eaDir|Recycle|Recently-Snapshot|tmp|sharebin)|#(recycle|snapshot)|\$RECYCLE\.BIN"
    r"|System Volume Information|lost\+found|RECYCLER|Network Trash Folder",
    re.IGNORECASE,
)
_SYSTEM_FILE = re.compile(
    r"\..+|zbthumbnail\.info|pspbrwse\.jbf|icon\r|.+\.(lnk|url|db|ini|lock|bak)|.+~|~\$.+", re.IGNORECASE
)

SYSTEM_FILES = "system files"
DOCUMENTS = "documents"
ARCHIVES = "archives"
# They often have no suffix.
_DOCUMENT = re.compile(
    r"(readme|licen[cs]e|copying|notice|citation|authors|contributors|change(log|s)|version|makefile|dockerfile)",
    re.IGNORECASE,
)
_SUFFIXES = {
    "sidecars": "aae xmp thm pp3 dop cos lrf lrv vrd nksc rpp gpx jgw jpgw tfw tifw pgw pngw wld prj dvc ds",
    "checksums": "md5 sha1 sha256 sha512",
    "programs": "py pyc ipynb m r jl js c cpp h java sh bat cmd ps1 exe dll msi sql",
    "models": "pt pth onnx ckpt safetensors tflite keras pb",
    "drawings": "psd ai",
    "videos": "mov mp4 m4v avi mkv mts m2ts 3gp wmv webm insv mpg mpeg",
    "sounds": "wav mp3 m4a aac amr",
    "partial downloads": "part partial crdownload download tmp temp filepart !ut",
    ARCHIVES: "zip rar 7z tar gz tgz bz2",
    DOCUMENTS: "txt md rst pdf csv tsv xls xlsx ods doc docx odt rtf ppt pptx html htm json jsonl ndjson xml yaml yml "
    "toml log mat seg npy npz pkl h5 names labels cfg cache svg eps cff bib tex",
}
_KIND_OF_SUFFIX = {suffix: kind for kind, suffixes in _SUFFIXES.items() for suffix in suffixes.split()}


def is_system_folder(name: str) -> bool:
    """Whether a folder of that name is a system's, such as `__MACOSX`, `@eaDir` or any hidden one."""
    return _SYSTEM_FOLDER.fullmatch(name) is not None


def kind_of_ignored(name: str) -> str:
    """The kind of a file that is no photograph, such as "videos"; "" for any other file."""
    if _SYSTEM_FILE.fullmatch(name):
        return SYSTEM_FILES
    if _DOCUMENT.fullmatch(name):
        return DOCUMENTS
    return _KIND_OF_SUFFIX.get(name.rpartition(".")[2].casefold(), "") if "." in name else ""
