"""Engines: :class:`~.fusion_trainer.FusionTrainer`, which trains the fusion network and has its loss taught."""
