from trainer_parts import make_datamodule as make_datamodule
from trainer_parts import make_module as make_module
from trainer_parts import make_trainer as make_trainer
