"""``python -m compute_horde_core.output_upload FILE... [-d FOLDER]``: makes the uploads that files
tell."""

from pydantic import TypeAdapter

from compute_horde_core.command_line import main
from compute_horde_core.output_upload import OutputUpload, OutputUploader

UPLOAD: TypeAdapter[OutputUpload] = TypeAdapter(OutputUpload)

if __name__ == "__main__":
    main(
        "compute_horde_core.output_upload",
        UPLOAD,
        "/output",
        lambda upload, folder: OutputUploader(upload).upload(folder),
    )
