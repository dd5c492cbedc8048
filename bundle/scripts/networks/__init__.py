"""Networks of MMIF-AMIN in plain torch, so that they load fast and script; used by the configs as ``_target_``."""
