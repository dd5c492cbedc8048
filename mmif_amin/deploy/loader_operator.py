"""Loading DICOM whose series have no number."""

from __future__ import annotations

from typing import Any

from monai.deploy.core.domain.dicom_series import DICOMSeries
from monai.deploy.operators.dicom_data_loader_operator import DICOMDataLoaderOperator

__all__ = ["LoaderOperator"]


class LoaderOperator(DICOMDataLoaderOperator):
    """The SDK's loader, which would lose a series whose SeriesNumber is empty, as the standard allows (type 2).

    Reference: DICOM PS3.3, C.7.3.1 (general series module).
    """

    def populate_series_attributes(self, series: DICOMSeries, sop_instance: Any) -> None:
        """Copy the attributes of a series from one of its images, in which an empty SeriesNumber is dropped."""
        if "SeriesNumber" in sop_instance and sop_instance.SeriesNumber is None:
            del sop_instance.SeriesNumber
        super().populate_series_attributes(series, sop_instance)
