# An image with the `trendtrain` command: docker build --tag trendtrain .
FROM python:3.11-slim

WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY configs configs
COPY trendtrain trendtrain
RUN pip install --no-cache-dir --constraint constraints.txt ".[postgres,plot,live]"

RUN useradd --create-home trendtrain && mkdir --parents /home/trendtrain/runs /home/trendtrain/bars && chown --recursive trendtrain /home/trendtrain
USER trendtrain
WORKDIR /home/trendtrain
ENTRYPOINT ["trendtrain"]
CMD ["train"]
