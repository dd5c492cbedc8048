"""``python -m mmif_amin.deploy -i DICOM_FOLDER -o OUT``; in a package, ``python FOLDER`` with this file in it."""

import sys

from mmif_amin.deploy.app import main  # not relative: in a package this file lies beside the product, not inside of it

if __name__ == "__main__":
    sys.exit(main(sys.argv))
