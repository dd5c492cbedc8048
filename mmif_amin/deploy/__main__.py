"""``python bundle/scripts/deploy -i DICOM_FOLDER -o OUT``."""

import sys

from app import main

if __name__ == "__main__":
    sys.exit(main(sys.argv))
